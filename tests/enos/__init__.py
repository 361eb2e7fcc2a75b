"""EnOS's APIs under what the vendor wrote; `make enos` fetches it."""
