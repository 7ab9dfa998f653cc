"""From folders of photos to batches: index, decode, transforms, sampler, loader."""
