"""Units that start jobs at their times: systemd, cron, Kubernetes."""
