"""Chat messages in the shapes that providers and SDKs write them."""
