#!/bin/sh
# Install Debian packages with the settings of the machine that builds, and leave none of them behind.
set -eu
cp -r /host/etc/. /etc/
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@" >/dev/null
rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d
