'use strict';

// The native wire for a child that asks for it (docs/wire.md, "Changing over from Node's wire"): the parent's half.

const { hub, newId } = require('./hub.js');
const { isFailure } = require('./errors.js');
const native = require('./native.js');
const { NativeWire } = require('./wires.js');

/** What a child asks with, the version of the native wire in it; what the parent answers with; what the child's last words on Node's wire are. */
const ASK = 'NODE_PROCS_ASK';
const OFFER = 'NODE_PROCS_OFFER';
const SWITCHED = 'NODE_PROCS_SWITCHED';
const VERSION = 1;

/** How often the descriptor is sent again when it did not arrive. */
const RETRANSMISSIONS = 3;

class Offer {
  #serialization;
  #fd = -1;
  #send;
  #retransmissions = 0;
  #open = true;
  /** What the child asked, until it was answered. */
  asked = null;

  constructor(serialization) {
    this.#serialization = serialization;
  }

  /** Notes a wish; whether to answer it. */
  wanted(message) {
    this.asked = this.#open && message.version === VERSION ? message : null;
    return this.asked !== null;
  }

  /** Makes the channel: the wire of this side, undefined when there is no descriptor or memory for it. */
  open(owner) {
    const latin1 = this.asked.latin1 === true;
    this.#open = false;
    this.asked = null;
    const [id, other] = [newId(), newId()];
    if (isFailure(hub.channelPair(NativeWire.settings(id), other))) return undefined;
    const fd = hub.channelDetach(other);
    if (isFailure(fd)) {
      hub.closeChannel(id);
      return undefined;
    }
    this.#fd = fd;
    const wire = new NativeWire(id, { serialization: this.#serialization, latin1 }, owner);
    // What it needs it has now; what comes by it is asked for once the child has changed over.
    if (wire.fd >= 0) return wire;
    wire.close();
    this.done();
    return undefined;
  }

  /** Sends the child its end by `send(message, fd)`, a handle like any other. */
  send(send) {
    this.#send = send;
    send({ cmd: 'NODE_HANDLE', type: 'net.Native', msg: { cmd: OFFER, version: VERSION, serialization: this.#serialization, latin1: true } }, this.#fd);
  }

  /** The child has its end, or the descriptor got lost. */
  answered(arrived) {
    if (arrived || this.#fd < 0) this.done();
    else if (this.#retransmissions++ < RETRANSMISSIONS) this.send(this.#send);
  }

  /** The child's end is not needed here any more. */
  done() {
    this.#open = false;
    if (this.#fd >= 0) native.closeFd(this.#fd);
    this.#fd = -1;
  }
}

module.exports = { ASK, OFFER, SWITCHED, VERSION, Offer };
