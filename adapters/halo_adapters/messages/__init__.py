"""Chat messages, tools and documents from the formats of providers and SDKs."""
