"""The state of many sessions for few requests; walking a listing."""
