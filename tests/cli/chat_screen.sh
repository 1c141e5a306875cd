#!/bin/bash
# chat_screen.sh HEADRACE MODEL: drives "headrace chat" through tmux with real keys, prints the screens, and
# fails unless they show what a person should see. Needs tmux; MODEL is any model that can chat.
set -u
[ $# -eq 2 ] || { echo "usage: chat_screen.sh HEADRACE MODEL" >&2; exit 2; }
command -v tmux >/dev/null || { echo "chat_screen.sh: tmux is missing" >&2; exit 1; }
headrace=$(realpath "$1")
model=$2
[ -e "$model" ] && model=$(realpath "$model")

socket=headrace-chat-$$
home=$(mktemp -d)
trap 'tmux -L "$socket" kill-server 2>/dev/null; sleep 0.3; rm -rf "$home"' EXIT
patience=120 # seconds for anything to appear
failures=0

tm() { tmux -L "$socket" "$@"; }
screen() { tm capture-pane -p -t chat; }
keys() { tm send-keys -t chat "$@"; }
type_text() { tm send-keys -t chat -l -- "$1"; }

# show TITLE: the screen as it is now.
show() {
  printf '\n===== %s =====\n' "$1"
  screen | sed -e 's/[[:space:]]*$//' | awk 'NF {for (; blank > 0; --blank) print ""; print; next} {++blank}'
}

# expect TITLE REGEX: waits until the screen matches, then shows it.
expect() {
  local until=$((SECONDS + patience))
  while ! screen | grep -qE -- "$2"; do
    if ((SECONDS > until)); then
      show "$1"
      printf 'FAILED: expected on the screen: %s\n' "$2"
      failures=$((failures + 1))
      return
    fi
    sleep 0.1
  done
  show "$1"
}

# at_prompt: waits for an empty prompt on the last line that is not empty.
at_prompt() {
  local until=$((SECONDS + patience))
  until screen | grep . | tail -n 1 | grep -qE '^>>> *$'; do
    ((SECONDS > until)) && { expect "a prompt" '^>>> *$'; failures=$((failures + 1)); return; }
    sleep 0.1
  done
}

# begin FLAGS...: a fresh terminal with a chat in it.
begin() {
  tm kill-server 2>/dev/null
  tm -f /dev/null new-session -d -s chat -x 90 -y 32 \
    "env HOME='$home' LC_ALL=C.UTF-8 bash --norc --noprofile"
  type_text "PS1='shell\$ '; clear; '$headrace' chat -m '$model' --temp 0 $*"
  keys Enter
}

begin -c 512 -n 40
at_prompt
type_text 'What is a riber?'
keys Left Left Left BSpace v
expect 'a line that is edited' '>>> What is a river\?'
keys Enter
expect 'an answer' 'river\?'
at_prompt
show 'after the answer'

keys Up
expect 'arrow up brings the line back' '>>> What is a river\?$'
keys C-c
expect 'Ctrl-C leaves the line' '\^C'
keys C-c
keys C-c
expect 'Ctrl-C twice says how to leave' '/bye or Ctrl-D'
at_prompt

type_text '/set predict -1'
keys Enter
at_prompt
type_text 'Tell me a very long story about a river and everything that it meets.'
keys Enter
sleep 1.5
keys C-c
expect 'Ctrl-C stops an answer' '\(stopped'
at_prompt

type_text '/set predict 20'
keys Enter
type_text '/set top-p 3'
keys Enter
expect 'a setting beyond its limits' 'expected 0 to 1, found .3'
type_text '/system Answer in one word.'
keys Enter
type_text '/dance'
keys Enter
expect 'a system message and an unknown command' 'unknown command /dance'
at_prompt

printf 'Which of these is a fruit?\n- a stone\n- an apple\n' | tm load-buffer -
tm paste-buffer -p -t chat
expect 'a pasted block waits for Enter' '^- an apple'
keys Enter
at_prompt
show 'the block was one message'

type_text '日本語とüber'
keys Left Left Left Left BSpace
expect 'wide characters are edited whole' '>>> 日本語über'
keys C-c
at_prompt

seq 1 400 | sed 's/^/This is line /' | tm load-buffer -
tm paste-buffer -p -t chat
expect 'a long block stands as a label' '\[paste 1: 400 lines\]'
keys Enter
expect 'what can never fit is not sent' 'even alone this message is too long'
at_prompt

begin -c 200 -n 60
at_prompt
for count in 1 2 3 4 5 6 7 8; do
  type_text "Name river number $count of the rivers that you know, please."
  keys Enter
  sleep 0.5
  until=$((SECONDS + patience))
  until screen | grep . | tail -n 1 | grep -qE '^(>>> *|[dcgkn/]+\? *)$' || ((SECONDS > until)); do sleep 0.1; done
  screen | grep . | tail -n 1 | grep -qE '\? *$' && break
done
expect 'the context is full' 'drop the oldest [0-9]+ exchanges? \([0-9,]+ tokens?\)'
type_text 'd'
keys Enter
expect 'the oldest went' '\(dropped the oldest'
at_prompt
show 'and the answer came'

keys C-z
expect 'Ctrl-Z goes to the shell' 'shell\$ *$'
type_text 'fg'
keys Enter
at_prompt
type_text '/bye'
keys Enter
expect 'back by fg, and left by /bye' 'shell\$ *$'

if ((failures > 0)); then
  printf '\n%d of the expected things were not on the screen\n' "$failures"
  exit 1
fi
printf '\nall that was expected was on the screen\n'
