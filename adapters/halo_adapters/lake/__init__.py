"""A lake: traces as Parquet files, partitioned by project and day, in a folder or a bucket."""
