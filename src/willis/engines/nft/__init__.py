"""The nft engine: translates what the layer-4 program marked (NAT and SNAT), in a table of its own."""
