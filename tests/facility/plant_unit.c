/* A functional mock-up unit (FMI 2.0, both interfaces) for test_cooling_fmu.py: compressor_w follows heat_w / 4 with
   a time constant of 600 s, pump_w is 1 % of heat_w at once, free_fraction is 1 where it is colder than 5 degC. */
#include <stdlib.h>

#define OK 0
#define TAU 600.0
typedef struct { double heat, wet, lag, time; } Unit;
typedef struct { int again, ended, nominals, values, has_next; double next; } EventInfo;

const char *fmi2GetTypesPlatform(void) { return "default"; }
const char *fmi2GetVersion(void) { return "2.0"; }
int fmi2SetDebugLogging(void *c, int on, size_t n, const char *const names[]) { return OK; }
void *fmi2Instantiate(const char *name, int kind, const char *guid, const char *place, const void *calls, int visible,
                      int logging) { return calloc(1, sizeof(Unit)); }
void fmi2FreeInstance(void *c) { free(c); }
int fmi2SetupExperiment(void *c, int given, double tolerance, double start, int stops, double stop) { return OK; }
int fmi2EnterInitializationMode(void *c) { return OK; }
int fmi2ExitInitializationMode(void *c) { return OK; }
int fmi2Terminate(void *c) { return OK; }
int fmi2Reset(void *c) { *(Unit *)c = (Unit){0}; return OK; }

int fmi2GetReal(void *c, const unsigned refs[], size_t n, double values[]) {
    Unit *u = c;
    for (size_t i = 0; i < n; i++) switch (refs[i]) {
        case 0: values[i] = u->heat; break;
        case 1: values[i] = u->wet; break;
        case 2: values[i] = u->lag; break;
        case 3: values[i] = (u->heat / 4.0 - u->lag) / TAU; break;
        case 4: values[i] = 0.01 * u->heat; break;
        default: values[i] = u->wet < 5.0 ? 1.0 : 0.0;
    }
    return OK;
}
int fmi2SetReal(void *c, const unsigned refs[], size_t n, const double values[]) {
    Unit *u = c;
    for (size_t i = 0; i < n; i++) { if (refs[i] == 0) u->heat = values[i]; if (refs[i] == 1) u->wet = values[i]; }
    return OK;
}
int fmi2DoStep(void *c, double now, double step, int keep) {
    Unit *u = c;
    for (int i = 0; i < 10000; i++) u->lag += (u->heat / 4.0 - u->lag) / TAU * step / 10000.0;
    return OK;
}
int fmi2EnterEventMode(void *c) { return OK; }
int fmi2NewDiscreteStates(void *c, EventInfo *info) { *info = (EventInfo){0}; return OK; }
int fmi2EnterContinuousTimeMode(void *c) { return OK; }
int fmi2CompletedIntegratorStep(void *c, int keep, int *event, int *end) { *event = *end = 0; return OK; }
int fmi2SetTime(void *c, double time) { ((Unit *)c)->time = time; return OK; }
int fmi2SetContinuousStates(void *c, const double x[], size_t n) { ((Unit *)c)->lag = x[0]; return OK; }
int fmi2GetContinuousStates(void *c, double x[], size_t n) { x[0] = ((Unit *)c)->lag; return OK; }
int fmi2GetNominalsOfContinuousStates(void *c, double x[], size_t n) { x[0] = 1e5; return OK; }
int fmi2GetDerivatives(void *c, double x[], size_t n) { const unsigned r = 3; return fmi2GetReal(c, &r, 1, x); }
int fmi2GetEventIndicators(void *c, double x[], size_t n) { return OK; }

/* Asked for by loaders, without use here. */
int fmi2GetInteger(void *c, const unsigned r[], size_t n, int v[]) { return OK; }
int fmi2GetBoolean(void *c, const unsigned r[], size_t n, int v[]) { return OK; }
int fmi2GetString(void *c, const unsigned r[], size_t n, const char *v[]) { return OK; }
int fmi2SetInteger(void *c, const unsigned r[], size_t n, const int v[]) { return OK; }
int fmi2SetBoolean(void *c, const unsigned r[], size_t n, const int v[]) { return OK; }
int fmi2SetString(void *c, const unsigned r[], size_t n, const char *const v[]) { return OK; }
int fmi2GetFMUstate(void *c, void **s) { return OK; }
int fmi2SetFMUstate(void *c, void *s) { return OK; }
int fmi2FreeFMUstate(void *c, void **s) { return OK; }
int fmi2SerializedFMUstateSize(void *c, void *s, size_t *n) { return OK; }
int fmi2SerializeFMUstate(void *c, void *s, char b[], size_t n) { return OK; }
int fmi2DeSerializeFMUstate(void *c, const char b[], size_t n, void **s) { return OK; }
int fmi2GetDirectionalDerivative(void *c, const unsigned u[], size_t n, const unsigned k[], size_t m, const double d[],
                                 double v[]) { return OK; }
int fmi2SetRealInputDerivatives(void *c, const unsigned r[], size_t n, const int o[], const double v[]) { return OK; }
int fmi2GetRealOutputDerivatives(void *c, const unsigned r[], size_t n, const int o[], double v[]) { return OK; }
int fmi2CancelStep(void *c) { return OK; }
int fmi2GetStatus(void *c, int k, int *v) { return OK; }
int fmi2GetRealStatus(void *c, int k, double *v) { return OK; }
int fmi2GetIntegerStatus(void *c, int k, int *v) { return OK; }
int fmi2GetBooleanStatus(void *c, int k, int *v) { return OK; }
int fmi2GetStringStatus(void *c, int k, const char **v) { return OK; }
