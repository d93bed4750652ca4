"""Every view of the application, and the admin."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("", include("novasonic.contrib.django.urls"))]
