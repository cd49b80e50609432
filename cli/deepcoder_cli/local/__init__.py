"""A resource run as processes of this machine, from the same process descriptions that the operator renders."""
