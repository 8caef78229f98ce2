#!/bin/sh
# Make sure that the tests can look at reports in a browser, where that needs nobody's consent: as root (a
# container, CI) Chromium is installed. Elsewhere the tests that need one are skipped.
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing Chromium, for the tests that look at reports"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=120 install --no-install-recommends -y chromium >/dev/null && exit 0
fi
echo "There is no Chromium: tests that look at reports in a browser will be skipped (apt-get install chromium)." >&2
exit 0
