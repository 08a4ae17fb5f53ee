"""How a draft head is trained for any model, on the model's own replies (`specmemo train-draft`)."""
