"""Commands about chats."""
