"""Static files under hashed names."""

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class ModuleStorage(ManifestStaticFilesStorage):
    """Django's own, with the imports between JavaScript modules rewritten too.

    Otherwise a page's first script has a hashed name and all that it imports has not: after a release a browser would
    run new modules beside old ones.
    """

    support_js_module_import_aggregation = True
