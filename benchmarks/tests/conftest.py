"""What the tests of the suite have too: private folders, one thread, gradients."""

from tests.conftest import gradients, private_folders, tiny_folder

__all__ = ["gradients", "private_folders", "tiny_folder"]
