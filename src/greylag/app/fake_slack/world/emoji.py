"""Emoji by Slack's names: those a bot and its people use. A reaction of another name is refused, as Slack does."""

GLYPHS = {
    "+1": "👍", "thumbsup": "👍", "-1": "👎", "thumbsdown": "👎", "eyes": "👀", "white_check_mark": "✅",
    "heavy_check_mark": "✔️", "ballot_box_with_check": "☑️", "x": "❌", "no_entry": "⛔", "no_entry_sign": "🚫",
    "warning": "⚠️", "octagonal_sign": "🛑", "stop_sign": "🛑", "hourglass": "⌛", "hourglass_flowing_sand": "⏳",
    "rocket": "🚀", "tada": "🎉", "ship": "🚢", "bug": "🐛", "wrench": "🔧", "hammer": "🔨", "hammer_and_wrench": "🛠️",
    "gear": "⚙️", "mag": "🔍", "lock": "🔒", "closed_lock_with_key": "🔐", "key": "🔑", "memo": "📝", "package": "📦",
    "link": "🔗", "question": "❓", "grey_question": "❔", "exclamation": "❗", "bulb": "💡", "fire": "🔥",
    "heart": "❤️",
    "pray": "🙏", "raised_hands": "🙌", "clap": "👏", "wave": "👋", "ok_hand": "👌", "100": "💯", "thinking_face": "🤔",
    "robot_face": "🤖", "bell": "🔔", "no_bell": "🔕", "clock1": "🕐", "repeat": "🔁",
    "arrows_counterclockwise": "🔄", "rewind": "⏪", "leftwards_arrow_with_hook": "↩️", "arrow_forward": "▶️",
    "double_vertical_bar": "⏸️", "black_square_for_stop": "⏹️", "red_circle": "🔴", "large_green_circle": "🟢",
    "large_yellow_circle": "🟡", "large_blue_circle": "🔵", "white_circle": "⚪", "black_circle": "⚫", "pushpin": "📌",
    "page_facing_up": "📄", "file_folder": "📁", "speech_balloon": "💬", "smile": "😄", "cry": "😢", "joy": "😂",
    "star": "⭐", "sparkles": "✨", "zap": "⚡", "shield": "🛡️", "house": "🏠", "earth_africa": "🌍", "flag-de": "🇩🇪",
    "bird": "🐦", "arrow_right": "➡️", "information_source": "\u2139\ufe0f",
}  # fmt: skip
