"""What all training scripts share: resume, schedules, previews, command line."""
