// SPDX-License-Identifier: AGPL-3.0-or-later
pragma solidity ^0.8.20;

/// Passes ether on from within: calls inside calls, calls that fail, creations, destructions.
contract Splitter {
    error Refused();

    receive() external payable {}

    function split(address payable[] calldata to) external payable {
        uint256 share = msg.value / to.length;
        for (uint256 i = 0; i < to.length; i++) {
            _pay(to[i], share);
        }
    }

    /// Pays through another of its kind: two levels deep.
    function splitThrough(Splitter other, address payable[] calldata to) external payable {
        _pay(to[0], msg.value / 4);
        other.split{value: msg.value / 2}(to);
        _pay(to[0], msg.value / 8);
    }

    function payAndFail(address payable to) external payable {
        _pay(to, msg.value / 2);
        revert Refused();
    }

    /// The inner payments of a failed call are undone, with what was sent to it; the others stay.
    function tryPayAndFail(Splitter other, address payable to) external payable {
        _pay(to, msg.value / 10);
        try other.payAndFail{value: msg.value / 2}(to) {} catch {}
        _pay(to, msg.value / 10);
    }

    /// Creates contracts with ether in them: CREATE, CREATE2, and one whose creation fails.
    function create(bytes32 salt) external payable returns (address first, address second) {
        first = address(new Purse{value: msg.value / 4}(false));
        second = address(new Purse{value: msg.value / 4, salt: salt}(false));
        try new Purse{value: msg.value / 4}(true) {} catch {}
    }

    /// Creates and destroys in one transaction, paying the heir.
    function createAndDestroy(address payable heir) external payable {
        Purse purse = new Purse{value: msg.value}(false);
        purse.destroy(heir);
    }

    /// Creates a contract that names itself as its heir: its ether is gone (EIP-6780).
    function createAndBurn() external payable {
        Purse purse = new Purse{value: msg.value}(false);
        purse.destroy(payable(address(purse)));
    }

    /// A payment without value, and one to itself.
    function idle() external payable {
        _pay(payable(msg.sender), 0);
        _pay(payable(address(this)), address(this).balance);
    }

    function _pay(address payable to, uint256 value) private {
        (bool paid,) = to.call{value: value}("");
        require(paid, "not paid");
    }
}

/// Holds ether until it is destroyed.
contract Purse {
    constructor(bool fail) payable {
        require(!fail, "no purse");
    }

    receive() external payable {}

    function destroy(address payable heir) external {
        selfdestruct(heir);
    }
}

/// Code that others run as their own.
library Payments {
    function pay(address payable to, uint256 value) public {
        (bool paid,) = to.call{value: value}("");
        require(paid, "not paid");
    }
}

/// Runs another's code on its own ether: the value of a DELEGATECALL or CALLCODE moves nothing by itself.
contract Delegating {
    address private immutable code;

    constructor(address payable code_) payable {
        code = code_;
    }

    receive() external payable {}

    function payByLibrary(address payable to) external payable {
        Payments.pay(to, msg.value / 2);
    }

    function delegate(bytes calldata input) external payable {
        (bool done,) = code.delegatecall(input);
        require(done, "not done");
    }

    function callCode(bytes calldata input, uint256 value) external payable {
        address target = code;
        bytes memory data = input;
        bool done;
        assembly {
            done := callcode(gas(), target, value, add(data, 32), mload(data), 0, 0)
        }
        require(done, "not done");
    }

    function readOnly(address target, bytes calldata input) external view {
        (bool done,) = target.staticcall(input);
        require(done, "not done");
    }
}

/// Takes ether and always fails, in two ways.
contract Failing {
    function fail() external payable {
        revert("always");
    }

    function exhaust() external payable {
        while (true) {}
    }
}
