"""Guards inspect what was measured and return verdicts; they change nothing themselves.

    batch      layer 4  samples and batches that could not be used
    loss       layer 5  the loss before the update
    gradient   layer 6  the gradient norm before the update
    epoch      layer 7  an epoch as a whole, and its validation

What a verdict leads to is `ecotui.engine.recovery`'s.
"""
