"""What the API tells about itself: an OpenAPI document, and a page to read it on."""
