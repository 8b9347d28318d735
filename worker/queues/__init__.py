"""External queues behind one small protocol."""
