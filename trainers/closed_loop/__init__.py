"""A small real cluster on this machine, and the simulation of the same jobs.

Cores are the servers. Real training jobs, a process each, wait in line for them; a real dispatcher starts them in the
order of a policy. The simulator runs the same jobs from profiles that were measured before, and the two are compared.

==============  ==================================================================
jobs            what is submitted, and when
job_process     one training job: imports, prepares, compiles, trains, and says when
dispatcher      starts jobs on free cores in the order of a policy
bench_process   models that stand compiled and train on demand
measuring       profiles, start-ups and co-location on this machine, before any run
simulated       the same jobs through `dcsim run`
comparison      what each job took, and what it was predicted to take
loop            all of that, kept as it is finished
report          tables, charts and verdicts of a loop
==============  ==================================================================
"""
