// What a Node programmer writes as a child: it sends back whatever it is sent, and ends when the channel does.
process.on('message', (message) => process.send(message));
