import Testing

/// How the life of a whole guest ends, by its own will or from outside.
extension WholeGuestTests {
    @Suite struct EndTests {
        @Test func `the power button reaches the programs of a guest with ACPI, which power it off`() throws {
            let guest = try TestGuest(GuestPlan(kernel: "debian-cloud"))
            for module in ["evdev", "button"] {
                try guest.copy("\(Lab.partsFolder)/\(module).ko", to: "/tmp/")
                try guest.shell("insmod /tmp/\(module).ko")
            }
            try guest.shell(
                """
                mkdir -p /etc/acpi/PWRF
                printf '#!/bin/sh\\nsync\\npoweroff -f\\n' > /etc/acpi/PWRF/00000080
                chmod +x /etc/acpi/PWRF/00000080
                acpid
                """)
            try guest.signal("PWR")
            #expect(try guest.waitForEnd() == "exit status 0")
            #expect(guest.consoleText.contains("swiftlet-vmm: the guest powered off\n"))
        }

        @Test func `a press of the power button does nothing to a kernel without ACPI`() throws {
            let guest = try TestGuest(GuestPlan())
            try guest.signal("PWR")
            #expect(try guest.shell("sleep 1; echo alive") == "alive")
            #expect(try guest.powerOff() == "exit status 0")
            #expect(guest.consoleText.contains("swiftlet-vmm: the guest reset itself\n"))
        }

        @Test func `a guest without ACPI that a program switches off has halted`() throws {
            let guest = try TestGuest(GuestPlan())
            _ = try? guest.shell("poweroff -f")
            #expect(try guest.waitForEnd() == "exit status 2")
            #expect(
                guest.consoleText.contains(
                    "swiftlet-vmm: the guest halted for good: every processor waits with interrupts off\n"))
        }

        @Test func `a monitor that is told to terminate ends its guest and removes its sockets`() throws {
            let guest = try TestGuest(GuestPlan())
            try guest.signal("TERM")
            #expect(try guest.waitForEnd() == "exit status 0")
            #expect(guest.consoleText.contains("swiftlet-vmm: the machine was stopped from outside\n"))
            #expect(try Lab.onHost("ls \(guest.socketPath)* 2> /dev/null || echo none") == "none\n")
        }
    }
}
