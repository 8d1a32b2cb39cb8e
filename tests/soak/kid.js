// A child of the zoo that knows nothing of libprocs: sends back what comes.
process.on('message', (message) => process.send(message));
