"""The smallest site that is fit for production: accounts, the talk page, the admin."""
