"""NetworkPolicy for the one-node development cluster, enforced with nftables. Standard library only."""
