"""What several stages use and none owns. Imports no stage."""
