"""Measurements that others made, as cost profiles: published tables, a user's own, and traces of real runs.

==================  ==============================================================
sources             what a source is, and what it says of one model on one device
profiles            a `CostProfile` of that, of origin `imported`; nothing is filled in
knots               the surface through measured points, and how far off it is between them
gavel               throughput by GPU type and scale factor (OSDI 2020)
pollux              step times by placement and batch (OSDI 2021)
vtrain              iteration times of Megatron-DeepSpeed on eight A100
zeus                time of an epoch and power by batch and power limit (NSDI 2023)
own_table           a CSV file of your own
tensorboard         the scalars of an event log
tfrecord            the framing of that log, with its checksums
wire                protocol-buffer fields by number
trace_events        a trace in Chrome's JSON, as the profilers of JAX and PyTorch write it
trace_operators     what the operators in it computed and read
run                 what a log or a trace does not say of its run
repeats             many times of one configuration, as one point
placement_model     a step time by placement: computing, and an exchange that it partly hides
scaling_model       a step time at four and eight GPUs, from one and two
published_steps     steps of large models of vTrain and Megatron-LM, as runs that trainers.large predicts
holdout             both held out against the published tables
==================  ==============================================================
"""
