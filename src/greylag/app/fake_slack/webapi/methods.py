"""Every method there is, with what it takes. Another is answered ``unknown_method``, as Slack answers it."""

from greylag.app.fake_slack.webapi import chat, files, rooms, streams, views
from greylag.app.fake_slack.webapi.given import Method

_SAID = (
    "text", "blocks", "attachments", "markdown_text", "metadata", "parse", "link_names", "as_user", "username",
    "icon_emoji", "icon_url", "mrkdwn",
)  # fmt: skip
_READ = ("cursor", "inclusive", "include_all_metadata", "latest", "limit", "oldest")
_LOOKS = ("icon_emoji", "icon_url", "username")

METHODS: dict[str, Method] = {
    "auth.test": Method(rooms.auth_test, tier=5),
    "apps.connections.open": Method(rooms.open_connection, tier=1, by_app=True, optional=("app_token",)),
    "chat.postMessage": Method(
        chat.post_message, ("channel",),
        (*_SAID, "thread_ts", "reply_broadcast", "unfurl_links", "unfurl_media", "container_id"), ("chat:write",), 0,
    ),
    "chat.update": Method(
        chat.update, ("channel", "ts"),
        (*_SAID[:8], "file_ids", "reply_broadcast", "unfurl_links", "unfurl_media"), ("chat:write",),
    ),
    "chat.delete": Method(chat.delete, ("channel", "ts"), ("as_user",), ("chat:write",)),
    "chat.postEphemeral": Method(
        chat.post_ephemeral, ("channel", "user"), (*_SAID[:4], *_SAID[5:], "thread_ts"), ("chat:write",), 4
    ),
    "chat.getPermalink": Method(chat.permalink, ("channel", "message_ts"), tier=4),
    "chat.startStream": Method(
        streams.start, ("channel", "thread_ts"),
        ("markdown_text", "recipient_team_id", "recipient_user_id", "chunks", "task_display_mode", *_LOOKS),
        ("chat:write",), 2,
    ),
    "chat.appendStream": Method(
        streams.append, ("channel", "ts"), ("markdown_text", "chunks"), ("chat:write",), 4
    ),
    "chat.stopStream": Method(
        streams.stop, ("channel", "ts"), ("markdown_text", "blocks", "metadata", "chunks", "session_status"),
        ("chat:write",), 2,
    ),
    "conversations.history": Method(rooms.history, ("channel",), _READ, ("channels:history",)),
    "conversations.replies": Method(rooms.replies, ("channel", "ts"), _READ, ("channels:history",)),
    "conversations.info": Method(
        rooms.info, ("channel",), ("include_locale", "include_num_members"), ("channels:read",)
    ),
    "conversations.open": Method(rooms.open_direct, (), ("channel", "return_im", "users"), ("im:write",)),
    "conversations.members": Method(rooms.members, ("channel",), ("cursor", "limit"), ("channels:read",), 4),
    "conversations.list": Method(
        rooms.listed, (), ("cursor", "exclude_archived", "limit", "team_id", "types"), ("channels:read",), 2
    ),
    "conversations.join": Method(rooms.join, ("channel",), (), ("channels:join",)),
    "users.info": Method(rooms.user_info, ("user",), ("include_locale",), ("users:read",), 4),
    "users.list": Method(rooms.user_list, (), ("cursor", "include_locale", "limit", "team_id"), ("users:read",), 2),
    "reactions.add": Method(rooms.add_reaction, ("name", "channel", "timestamp"), (), ("reactions:write",)),
    "reactions.remove": Method(
        rooms.remove_reaction, ("name",), ("channel", "timestamp", "file", "file_comment"), ("reactions:write",), 2
    ),
    "reactions.get": Method(
        rooms.get_reactions, (), ("channel", "timestamp", "file", "file_comment", "full"), ("reactions:read",)
    ),
    "files.getUploadURLExternal": Method(
        files.upload_url, ("filename", "length"), ("alt_txt", "snippet_type"), ("files:write",), 4
    ),
    "files.completeUploadExternal": Method(
        files.complete, ("files",), ("channel_id", "channels", "initial_comment", "thread_ts", "blocks"),
        ("files:write",), 4,
    ),
    "files.info": Method(files.info, ("file",), ("count", "cursor", "limit", "page"), ("files:read",), 4),
    "files.delete": Method(files.delete, ("file",), (), ("files:write",)),
    "views.open": Method(views.open_view, ("view",), ("trigger_id", "interactivity_pointer"), (), 4),
    "views.push": Method(views.push, ("view",), ("trigger_id", "interactivity_pointer"), (), 4),
    "views.update": Method(views.update, ("view",), ("external_id", "view_id", "hash"), (), 4),
    "views.publish": Method(views.publish, ("user_id", "view"), ("hash",), (), 4),
    "assistant.threads.setStatus": Method(
        rooms.set_status, ("channel_id", "thread_ts"), ("status", "loading_messages", *_LOOKS), ("chat:write",)
    ),
    "assistant.threads.setTitle": Method(
        rooms.set_title, ("channel_id", "thread_ts", "title"), (), ("assistant:write",)
    ),
    "assistant.threads.setSuggestedPrompts": Method(
        rooms.set_prompts, ("channel_id", "prompts"), ("thread_ts", "title"), ("assistant:write",)
    ),
}  # fmt: skip
