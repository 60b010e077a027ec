#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the machine that grades. The wheel is the one of `make wheel`.
apt-get -qq update && apt-get -qq install -y python3-venv
python3 -m venv /opt/handnet
/opt/handnet/bin/pip install --quiet /autograder/source/handnet-*.whl
ln -s /opt/handnet/bin/handnet /usr/local/bin/handnet
