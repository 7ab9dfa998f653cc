"""The checks of layers 2 and 3, a module a subject; `ecotui.engine.preflight` runs them in order.

    finding, record, budget, traces    what a check says, where it is kept, what it may cost,
                                       and how everything is put back after it
    material                           the samples and first batches that the checks look at
    transforms, colours, augmentation  layer 2
    previews                           pictures of what the transforms make
    batches, passes, evaluation, loop  layer 3

A check is a function from `Material` to findings. It changes nothing that training sees.
"""
