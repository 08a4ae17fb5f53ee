"""specmemo: a terminal chatbot that decodes speculatively inside a hard memory cap."""

import os

__version__ = "0.1.0"

# CUDA numbers the cards by speed unless told otherwise; a plan's index is NVML's, in the order of the bus. Every
# process of ours imports this before it can load CUDA.
os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
