"""`python -m ecotui`: the same as the command `ecotui`."""

import os
import sys

# With `-m` the working directory comes first on the path: a random.py there would be run in
# place of Python's own.
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if sys.path and sys.path[0] == os.getcwd() and not os.path.samefile(sys.path[0], _OWN):
    del sys.path[0]

from ecotui.entry import main  # noqa: E402

if __name__ == "__main__":
    main()
