"""Guards inspect what was measured and return verdicts; they change nothing themselves.

    batch      layer 4       samples and batches that could not be used, memory that ran out
    loss       layer 5       the loss and the scores before the update
    spike      layer 5       a loss that has jumped and stays up
    gradient   layer 6       the gradient norm before the update, and over many steps
    epoch      layer 7       an epoch as a whole, its validation, and the state
    learning   layers 5, 7   whether the run learns anything, and at the right rate

    stall, pace, memory, storage, machine    what the training runs on, watched beside it; their
                                             verdicts are of layer 1, the environment

What a verdict leads to is `ecotui.engine.recovery`'s.
"""
