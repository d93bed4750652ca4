"""The site that ``novasonic demo`` serves: the stock page behind a sign-in of one click. Not for production."""
