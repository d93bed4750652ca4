"""The library's admin for the site's own conversations."""

from django.contrib import admin

from novasonic.contrib.django.admin import ConversationAdmin

from .models import Conversation

admin.site.register(Conversation, ConversationAdmin)
