"""The HTTP face: a JSON API with an OpenAPI document, the web thread, and git over HTTP."""
