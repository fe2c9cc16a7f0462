"""Conversing: what chats say comes in here, and what stands in the own thread goes out. Nothing else calls a chat."""
