"""Results of many studies and sites in one folder, too many to hold in memory."""
