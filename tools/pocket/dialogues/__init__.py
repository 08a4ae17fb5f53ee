"""The generator of the dialogues that Pocket, the bundled model, is trained on."""
