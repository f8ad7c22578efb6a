"""What holds for every test: no network, one thread, no window.

These are environment variables because they must be set before torch, transformers or matplotlib is first imported, and
a test that needs none of the three must not pay for importing them.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # torch's, too: the tensors of a test are too small to share out
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"
