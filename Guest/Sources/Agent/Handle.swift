import LinuxCalls

/// An open file that several objects of the agent may hold, until one closes it or all let go.
final class Handle {
    let number: Int32
    private var file: FileDescriptor?

    init(_ file: consuming FileDescriptor) {
        number = file.number
        self.file = consume file
    }

    func close() { file = nil }
}

/// A descriptor's place in the event loop: watched for exactly what is wanted, and not at all when nothing is.
///
/// The kernel reports hang-ups even where nothing was asked for; one who cannot act on them now must not be woken.
struct Watch {
    private var registration: EventRegistration?
    private var interest: Readiness = []

    mutating func want(
        _ wanted: Readiness, _ number: Int32, _ loop: EventLoop, _ handler: any EventHandler, token: UInt32 = 0
    ) {
        if wanted == interest { return }
        if let registration {
            if wanted.isEmpty {
                loop.remove(registration, number)
                self.registration = nil
            } else {
                try? loop.modify(registration, number, wanted)
            }
        } else {
            registration = try? loop.add(number, wanted, handler: handler, token: token)
        }
        interest = wanted
    }
}
