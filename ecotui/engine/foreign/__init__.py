"""Files of weights from outside: looked through without torch, then loaded in a confined child."""
