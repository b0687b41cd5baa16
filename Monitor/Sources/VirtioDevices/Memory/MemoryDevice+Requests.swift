import GuestMemory
import LinuxCalls

/// The requests' work. On the loop's thread.
extension MemoryDevice {
    func carryOut(_ request: MemoryRequest) -> (MemoryRequest.Answer, MemoryRequest.State) {
        switch request.kind {
        case .plug:
            metrics.plugs.add()
            let answer = plug(request)
            if answer != .acknowledged { metrics.plugFailures.add() }
            return (answer, .plugged)
        case .unplug:
            metrics.unplugs.add()
            let answer = unplug(request)
            if answer != .acknowledged { metrics.unplugFailures.add() }
            return (answer, .plugged)
        case .unplugAll:
            metrics.unplugAlls.add()
            remove(0, attachment.blockCount)
            note(plugged: 0)
            return (.acknowledged, .plugged)
        case .state:
            metrics.states.add()
            guard let first = firstBlock(request) else { return (.invalid, .plugged) }
            let count = UInt64(request.blockCount)
            if attachment.areBlocks(first, count, plugged: true) { return (.acknowledged, .plugged) }
            let isEmpty = attachment.areBlocks(first, count, plugged: false)
            return (.acknowledged, isEmpty ? .unplugged : .mixed)
        }
    }

    /// The number of the first block that a request names; nil when not all of them are the device's.
    private func firstBlock(_ request: MemoryRequest) -> UInt64? {
        let offset = request.address &- attachment.start.value
        guard request.address >= attachment.start.value, offset < attachment.lengthBytes,
            offset % attachment.blockBytes == 0, request.blockCount > 0
        else { return nil }
        let first = offset / attachment.blockBytes
        return UInt64(request.blockCount) <= attachment.blockCount &- first ? first : nil
    }

    private func plug(_ request: MemoryRequest) -> MemoryRequest.Answer {
        let count = UInt64(request.blockCount)
        guard let first = firstBlock(request), attachment.areBlocks(first, count, plugged: false) else {
            return .invalid
        }
        let bytes = count &* attachment.blockBytes
        let plugged = pluggedBytes
        guard plugged &+ bytes <= requested else { return .refused }
        do throws(LinuxError) {
            for slot in slots(first, count) where !attachedSlots[slot] {
                try switchSlot(UInt32(slot), true)
                note(slot: slot, attached: true)
            }
        } catch {
            metrics.hostErrors.add()
            removeEmptySlots(first, count)
            return .busy
        }
        attachment.setBlocks(first, count, plugged: true)
        note(plugged: plugged &+ bytes)
        metrics.pluggedBytes.add(bytes)
        return .acknowledged
    }

    private func unplug(_ request: MemoryRequest) -> MemoryRequest.Answer {
        let count = UInt64(request.blockCount)
        guard let first = firstBlock(request), attachment.areBlocks(first, count, plugged: true) else {
            return .invalid
        }
        remove(first, count)
        let bytes = count &* attachment.blockBytes
        note(plugged: pluggedBytes &- bytes)
        metrics.unpluggedBytes.add(bytes)
        return .acknowledged
    }

    private func remove(_ first: UInt64, _ count: UInt64) {
        attachment.setBlocks(first, count, plugged: false)
        removeEmptySlots(first, count)
    }

    /// Takes slots away of which no block is plugged any more.
    private func removeEmptySlots(_ first: UInt64, _ count: UInt64) {
        let blocks = slotBytes / attachment.blockBytes
        for slot in slots(first, count) where attachedSlots[slot] {
            let start = UInt64(slot) &* blocks
            guard attachment.areBlocks(start, blocks, plugged: false) else { continue }
            do throws(LinuxError) { try switchSlot(UInt32(slot), false) } catch {
                metrics.hostErrors.add()
                continue
            }
            note(slot: slot, attached: false)
            // A guest that touched more than was plugged has had pages of the host for it.
            attachment.discard(blocks: start, blocks)
        }
    }

    private func slots(_ first: UInt64, _ count: UInt64) -> ClosedRange<Int> {
        let blocks = slotBytes / attachment.blockBytes
        return Int(truncatingIfNeeded: first / blocks)...Int(truncatingIfNeeded: (first &+ count &- 1) / blocks)
    }
}
