"""The five-node graph through our server, beside the same graph in process and in its peers."""
