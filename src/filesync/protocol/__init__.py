"""What stands on disk between sites and what it means. Pure: no IO."""
