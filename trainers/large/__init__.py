"""Training of large language models, predicted from an architecture and a layout; nothing is run.

============  ====================================================================
architecture  the shape of a Transformer: parameters, operations
architectures those that were published, by name
layout        data, tensor, pipeline parallelism, and what else decides a step
operators     the kernels that a device runs
efficiency    what kernels, hosts and links give of their data sheets
kernels       how long kernels take
links         how long collectives take
step          how long a step takes, by parts
memory        what a device holds
traffic       what a step exchanges
predict       all of that for one run
rank          the layouts that fit, fastest first
fit           efficiencies from measured steps
cost_profile  a prediction as the cost profile that the simulator reads
text          a prediction for people
============  ====================================================================
"""
