"""The Web API: each method as Slack documents it, with Slack's names for what is wrong."""
